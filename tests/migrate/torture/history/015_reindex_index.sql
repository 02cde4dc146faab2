insert into tally values (15, 1);
reindex index concurrently customers_email;
insert into tally values (15, 2);
