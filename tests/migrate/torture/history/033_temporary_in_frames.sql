begin;
create temp table chosen on commit drop as select id from customers where id % 3 = 0;
insert into tally select 33, 1 from chosen limit 1;
commit;
begin;
create temp table chosen on commit drop as select id from customers where id % 4 = 0;
insert into tally select 33, 2 from chosen limit 1;
commit;
