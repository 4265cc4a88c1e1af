from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("bookings", "0002_ticket_booking")]

    operations = [
        migrations.AddField(
            model_name="paymentnotice",
            name="reference",
            field=models.CharField(default="", max_length=200, verbose_name="gateway's reference of the payment"),
            preserve_default=False,
        ),
    ]
