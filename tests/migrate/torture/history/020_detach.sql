insert into tally values (20, 1);
alter table measures detach partition measures_2024 concurrently;
insert into tally values (20, 2);
