-- The role and the database, with the bounds that keep one slow request from holding up the others.
-- psql --file deploy/role.sql, as a superuser; then \password holdfast.
CREATE ROLE holdfast LOGIN;
ALTER ROLE holdfast SET statement_timeout = '8s';
ALTER ROLE holdfast SET lock_timeout = '2s';
ALTER ROLE holdfast SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE holdfast SET timezone = 'UTC';
CREATE DATABASE holdfast OWNER holdfast;
