-- nothing; at all
/* ; */ ;
