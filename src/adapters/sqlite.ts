export { type SqliteSinkOptions, sqliteLines, sqliteSink } from '../audit/sqlite-sink.ts';
