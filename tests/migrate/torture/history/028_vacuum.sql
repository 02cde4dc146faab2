vacuum (analyze) customers;
insert into tally values (28, 1);
vacuum orders;
insert into tally values (28, 2);
