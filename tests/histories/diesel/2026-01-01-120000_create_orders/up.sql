create type "Order state" as enum ('new');
create table orders (
    id serial primary key,
    state "Order state" not null default 'new',
    updated_at timestamp not null default '2025-12-31'
);
select manage_updated_at('orders');
insert into orders default values
