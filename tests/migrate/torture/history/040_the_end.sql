create function total(customer int) returns bigint language sql stable
begin atomic
	select sum(cents) from orders where orders.customer = total.customer;
end;
create rule no_delete as on delete to tens do instead nothing;
comment on table tally is $$the end; "really"$$;
insert into tally values (40, 1);
