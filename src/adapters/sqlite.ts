export { type SqliteSinkOptions, sqliteLines, sqliteSink } from '../audit/sqlite-sink.ts';
export { type SqliteStore, type SqliteStoreOptions, sqliteStore } from '../stores/sqlite.ts';
