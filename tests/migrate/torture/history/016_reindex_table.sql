insert into tally values (16, 1);
reindex table concurrently customers;
insert into tally values (16, 2);
reindex (concurrently) index orders_pkey;
reindex schema concurrently app;
insert into tally values (16, 3);
