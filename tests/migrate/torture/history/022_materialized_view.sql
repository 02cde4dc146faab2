create materialized view per_city as select city, count(*) from customers group by city;
create unique index per_city_city on per_city (city);
insert into tally values (22, 1);
