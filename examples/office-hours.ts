// A rule of your own beside the built-in ones: a pure check, with a code of its own.
import { callCap, createLeash, type Guard, isLeashError } from 'leashkit';

// #region guard
const officeHours: Guard = {
  name: 'office-hours',
  settings: { from: 9, to: 17 },
  check: ({ tool }) =>
    tool !== 'wire' || isOfficeHour()
      ? { allow: true }
      : { allow: false, code: 'OUTSIDE_HOURS', reason: 'closed', message: 'wires are sent from 9 to 17 only' },
};

const leash = createLeash({ guards: [officeHours, callCap(10)], stopOn: 'none' });
const wire = leash.wrap('wire', async (to: string) => `sent to ${to}`);
await wire('the landlord').catch((error) => {
  if (isLeashError(error)) console.log(error.code, '-', error.message);
});
// #endregion
await leash.close();

function isOfficeHour(): boolean {
  return false;
}

// Output:
// OUTSIDE_HOURS - Tool "wire" was refused: wires are sent from 9 to 17 only.
