DROP TABLE "People; all of them";
