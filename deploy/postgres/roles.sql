-- Once, on the first primary: the database of the books and its one role, no superuser.
-- psql -h RUN-FOLDER -U postgres -v password=… -f roles.sql
\set ON_ERROR_STOP on
CREATE ROLE tpw LOGIN PASSWORD :'password' CONNECTION LIMIT 40;
CREATE DATABASE tpw OWNER tpw;
REVOKE ALL ON DATABASE tpw FROM PUBLIC;
