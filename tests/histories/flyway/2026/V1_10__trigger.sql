CREATE FUNCTION check_price() RETURNS trigger LANGUAGE plpgsql AS
$function$
BEGIN
    IF NEW.price > 1000 THEN RAISE EXCEPTION 'too dear; %', NEW.price; END IF;
    RETURN NEW;
END
$function$;
CREATE TRIGGER "check" BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION check_price();
