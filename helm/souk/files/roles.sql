-- The roles of a service's database: the owner, which migrates; the one that serves, which
-- changes no schema; the one that reads, for backups and audits. The migration grants the
-- second what it may do. psql runs this as the superuser, again after each change.
SET log_min_error_statement = panic; -- statements have passwords
SET client_min_messages = warning;
\set service `printf %s "$SERVICE"`
\set runtime :service '_runtime'
\set reader :service '_reader'
\set owner_password `cat "$ROLES/owner-password"`
\set runtime_password `cat "$ROLES/runtime-password"`
\set reader_password `cat "$ROLES/reader-password"`
BEGIN;
SELECT format('CREATE ROLE %I', name) FROM unnest(ARRAY[:'service', :'runtime', :'reader']) AS name
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE :"service" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'owner_password';
ALTER ROLE :"runtime" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'runtime_password';
ALTER ROLE :"reader" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'reader_password';
ALTER ROLE :"reader" SET default_transaction_read_only = on;
GRANT :"runtime" TO :"service"; -- it may see and end the service's sessions
GRANT pg_read_all_data TO :"reader";
-- The superuser comes by the socket, without a password; on a volume of an earlier release
-- it was the service.
ALTER ROLE postgres PASSWORD NULL;
ALTER ROLE postgres IN DATABASE :"service" RESET ALL;

ALTER DATABASE :"service" OWNER TO :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"service" TO :"runtime", :"reader";
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CREATE, USAGE ON SCHEMA public TO :"service";

-- What an earlier release's superuser owns in it is the owner's. Extensions stay.
WITH ours AS (
  SELECT CASE relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END AS kind,
         oid::regclass::text AS name, 'pg_class'::regclass AS class, oid
    FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND relowner = 'postgres'::regrole AND relkind IN ('r', 'p', 'v', 'm', 'S')
     AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND refclassid = 'pg_class'::regclass
                     AND relkind = 'S' AND deptype IN ('a', 'i')) -- a column's sequence goes with its table
  UNION ALL
  SELECT 'ROUTINE', oid::regprocedure::text, 'pg_proc'::regclass, oid
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proowner = 'postgres'::regrole
  UNION ALL
  SELECT 'TYPE', oid::regtype::text, 'pg_type'::regclass, oid
    FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typowner = 'postgres'::regrole AND typtype IN ('e', 'd', 'r')
)
SELECT format('ALTER %s %s OWNER TO %I', kind, name, :'service') FROM ours
  WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = class AND objid = ours.oid AND deptype = 'e') \gexec
COMMIT;
