import type { DatabaseSync, StatementSync } from 'node:sqlite';

/** What is asked of the tables, prepared once for a connection. */
export class Statements {
  readonly scopeByName: StatementSync;
  readonly scopeById: StatementSync;
  readonly insertScope: StatementSync;
  readonly updateScope: StatementSync;
  readonly dueScopes: StatementSync;
  readonly putOffScope: StatementSync;
  readonly deleteScope: StatementSync;
  readonly counterByMeter: StatementSync;
  readonly counterById: StatementSync;
  readonly countersOf: StatementSync;
  readonly insertCounter: StatementSync;
  readonly updateCounter: StatementSync;
  readonly deleteCounters: StatementSync;
  readonly dropSteps: StatementSync;
  readonly addToStep: StatementSync;
  readonly takeFromStep: StatementSync;
  readonly unitsOfStep: StatementSync;
  readonly stepReaching: StatementSync;
  readonly holdByName: StatementSync;
  readonly insertHold: StatementSync;
  readonly updateHold: StatementSync;
  readonly endedLeases: StatementSync;
  readonly overHolds: StatementSync;
  readonly deleteHold: StatementSync;
  readonly extensionByName: StatementSync;
  readonly insertExtension: StatementSync;

  constructor(database: DatabaseSync) {
    const prepare = (sql: string): StatementSync => database.prepare(sql);

    this.scopeByName = prepare('SELECT * FROM leash_scope WHERE name = ?');
    this.scopeById = prepare('SELECT * FROM leash_scope WHERE id = ?');
    this.insertScope = prepare(
      'INSERT INTO leash_scope (name, generation, stopped, shut, time_ms, forget_ms, due_ms) VALUES (?, ?, 0, 0, 0, ?, ?)',
    );
    this.updateScope = prepare(
      'UPDATE leash_scope SET stopped = ?, shut = ?, time_ms = ?, forget_ms = ?, due_ms = ? WHERE id = ?',
    );
    this.dueScopes = prepare(
      'SELECT id, shut, time_ms, forget_ms FROM leash_scope WHERE due_ms <= ? ORDER BY due_ms LIMIT ?',
    );
    this.putOffScope = prepare('UPDATE leash_scope SET due_ms = ? WHERE id = ?');
    this.deleteScope = prepare('DELETE FROM leash_scope WHERE id = ?');

    this.counterByMeter = prepare('SELECT * FROM leash_counter WHERE scope = ? AND meter = ?');
    this.counterById = prepare('SELECT * FROM leash_counter WHERE id = ?');
    this.countersOf = prepare('SELECT * FROM leash_counter WHERE scope = ? ORDER BY id');
    this.insertCounter = prepare(
      `INSERT INTO leash_counter (scope, meter, kind, held, booked, window_ms, step_ms, start_ms, end_ms)
       VALUES (?, ?, ?, 0, 0, ?, ?, ?, ?)`,
    );
    this.updateCounter = prepare(
      'UPDATE leash_counter SET held = ?, booked = ?, start_ms = ?, end_ms = ?, late_ms = ? WHERE id = ?',
    );
    this.deleteCounters = prepare('DELETE FROM leash_counter WHERE scope = ?');

    this.dropSteps = prepare('DELETE FROM leash_step WHERE counter = ? AND step < ? RETURNING units');
    this.addToStep = prepare(
      `INSERT INTO leash_step (counter, step, units) VALUES (?, ?, ?)
       ON CONFLICT (counter, step) DO UPDATE SET units = units + excluded.units`,
    );
    this.takeFromStep = prepare('UPDATE leash_step SET units = units - ? WHERE counter = ? AND step = ?');
    this.unitsOfStep = prepare('SELECT units FROM leash_step WHERE counter = ? AND step = ?');
    this.stepReaching = prepare(
      `SELECT step FROM (SELECT step, sum(units) OVER (ORDER BY step) AS units FROM leash_step WHERE counter = ?)
       WHERE units >= ? LIMIT 1`,
    );

    this.holdByName = prepare('SELECT * FROM leash_hold WHERE name = ?');
    this.insertHold = prepare(
      'INSERT INTO leash_hold (name, state, requested, lines, corrected, keep_ms, due_ms) VALUES (?, ?, ?, ?, 0, ?, ?)',
    );
    this.updateHold = prepare('UPDATE leash_hold SET state = ?, lines = ?, corrected = ?, due_ms = ? WHERE id = ?');
    this.endedLeases = prepare(
      "SELECT name FROM leash_hold WHERE state = 'held' AND due_ms <= ? ORDER BY due_ms LIMIT ?",
    );
    this.overHolds = prepare("SELECT id FROM leash_hold WHERE state <> 'held' AND due_ms <= ? ORDER BY due_ms LIMIT ?");
    this.deleteHold = prepare('DELETE FROM leash_hold WHERE id = ?');

    this.extensionByName = prepare(
      `SELECT hold.name AS onto, first, extension.requested FROM leash_extension AS extension
       JOIN leash_hold AS hold ON hold.id = extension.hold WHERE extension.name = ?`,
    );
    this.insertExtension = prepare('INSERT INTO leash_extension (name, hold, first, requested) VALUES (?, ?, ?, ?)');
  }
}
