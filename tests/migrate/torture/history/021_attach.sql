create table measures_old (like measures_2024 including indexes);
insert into measures_old select at - 366, value from measures_2024;
alter table measures attach partition measures_old for values from ('2022-12-31') to ('2024-01-01');
insert into tally values (21, 1);
