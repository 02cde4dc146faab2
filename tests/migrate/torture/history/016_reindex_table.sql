insert into tally values (16, 1);
reindex table concurrently customers;
insert into tally values (16, 2);
