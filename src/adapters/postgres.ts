export {
  type PostgresClient,
  type PostgresMigrationOptions,
  type PostgresStoreOptions,
  postgresMigration,
  postgresStore,
} from '../stores/postgres.ts';
