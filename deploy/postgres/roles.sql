-- Once, on the first primary: the database of the books and its one role, no superuser.
-- The password comes from the environment, where no other account sees it, as it would on the command line:
--   read -rs TPW_ROLE_PASSWORD && export TPW_ROLE_PASSWORD && psql -h RUN-FOLDER -U postgres -f roles.sql
\getenv password TPW_ROLE_PASSWORD
\set ON_ERROR_STOP on
CREATE ROLE tpw LOGIN PASSWORD :'password' CONNECTION LIMIT 40;
CREATE DATABASE tpw OWNER tpw;
REVOKE ALL ON DATABASE tpw FROM PUBLIC;
