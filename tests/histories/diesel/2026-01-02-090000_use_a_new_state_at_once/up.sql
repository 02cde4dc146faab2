alter type "Order state" add value if not exists 'paid; or not' after 'new';
update orders set state = 'paid; or not';
alter table orders add check (state <> 'new' or updated_at is not null);
