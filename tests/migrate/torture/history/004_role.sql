set role torture_owner;
create table app.owned (x int);
insert into public.tally values (4, 1);
reset role;
create table not_owned (x int);
insert into tally values (4, 2);
