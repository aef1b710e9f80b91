/** What the calls that are measured are called with. */
export interface Input {
  readonly customer: string;
  readonly cents: number;
  readonly currency: string;
  readonly description: string;
  readonly capture: boolean;
  readonly items: readonly string[];
}

/** 198 bytes of JSON, as an agent would send them. */
export const input: Input = {
  customer: 'cus_9s6XKzkNRiz8i3',
  cents: 4200,
  currency: 'usd',
  description: 'Invoice 2026-11-00042 for the monthly plan of the workspace',
  capture: true,
  items: ['plan_pro', 'seat_12', 'support_basic'],
};
