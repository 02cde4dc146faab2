create role torture_owner;
create role torture_reader;
create schema app authorization torture_owner;
grant usage on schema app to torture_reader;
alter default privileges for role torture_owner in schema app grant select on tables to torture_reader;
grant insert on tally to torture_owner;
insert into tally values (2, 1);
