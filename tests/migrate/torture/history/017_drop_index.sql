drop index concurrently customers_lower;
insert into tally values (17, 1);
drop index concurrently if exists customers_lower;
insert into tally values (17, 2);
