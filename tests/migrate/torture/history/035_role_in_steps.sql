set role torture_owner;
create table app.steps (x int);
create index concurrently steps_x on app.steps (x);
create table app.steps_after (x int);
insert into public.tally values (35, 1);
reset role;
vacuum app.steps;
create table steps_last (x int);
insert into tally values (35, 2);
