-- Each statement that must run once adds a row to `tally`, so that lost and doubled ones are seen.
create table tally (file int not null, step int not null);
create table customers (id int primary key, email text not null, name text, city text);
create table orders (id int primary key, customer int not null references customers, cents bigint);
insert into customers select g, 'c' || g || '@example.com', 'name ' || g % 50, 'city ' || g % 7
	from generate_series(1, 400) g;
insert into orders select g, g % 400 + 1, g * 7 from generate_series(1, 800) g;
insert into tally values (1, 1);
