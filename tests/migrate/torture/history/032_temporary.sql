begin;
create temp table chosen (id int) on commit drop;
insert into chosen select id from customers where id % 10 = 0;
create table tens as select c.id, c.email from customers c join chosen using (id);
insert into tally values (32, 1);
commit;
