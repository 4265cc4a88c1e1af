-- The role and the database, with the bounds that keep one slow request from holding up the others.
-- psql --file deploy/role.sql, as a superuser; then \password holdfast.
CREATE ROLE holdfast LOGIN;
ALTER ROLE holdfast SET statement_timeout = '8s';
ALTER ROLE holdfast SET lock_timeout = '2s';
ALTER ROLE holdfast SET idle_in_transaction_session_timeout = '10s';
ALTER ROLE holdfast SET timezone = 'UTC';
-- The statements that are kept (events/statements.py) are written for one plan. Left to itself the
-- server plans the hold anew each time, as it takes the plan for two seats to be cheaper than one for any.
ALTER ROLE holdfast SET plan_cache_mode = 'force_generic_plan';
CREATE DATABASE holdfast OWNER holdfast;
