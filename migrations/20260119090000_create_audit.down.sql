DROP TABLE plain_lambda.audit;
