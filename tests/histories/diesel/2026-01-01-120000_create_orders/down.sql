drop table orders; drop type "Order state"
