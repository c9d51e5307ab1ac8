-- What an administrator runs once on a server of one's own, one statement a line. The owner makes and migrates the tables; reads for callers happen as esb_reader, under row-level security. Only tests need CREATEDB.
CREATE ROLE esb LOGIN CREATEDB;
CREATE ROLE esb_reader NOLOGIN;
GRANT esb_reader TO esb;
CREATE DATABASE esb OWNER esb;
