update customers set city = 'elsewhere' where id < 20;
refresh materialized view concurrently per_city;
insert into tally values (23, 1);
vacuum customers;
refresh materialized view concurrently per_city;
insert into tally values (23, 2);
