/** Decimal places that are kept: as many as the format lets an amount have. */
const PLACES = 40;
const DECIMAL = /^(-?)(\d+)(?:\.(\d+))?$/;

/** A sum of decimal strings, exact to the last digit. */
export class DecimalSum {
  #units = 0n;

  get isZero(): boolean {
    return this.#units === 0n;
  }

  /** @param text such as `0.0042`; anything else counts nothing. */
  add(text: string | undefined): void {
    const [, sign = '', whole = '', fraction = ''] = DECIMAL.exec(text ?? '') ?? [];
    const units = BigInt(whole + fraction.padEnd(PLACES, '0').slice(0, PLACES));
    this.#units += sign === '-' ? -units : units;
  }

  addSum(other: DecimalSum): void {
    this.#units += other.#units;
  }

  /** Without zeros at the end. */
  toString(): string {
    const digits = String(this.#units < 0n ? -this.#units : this.#units).padStart(PLACES + 1, '0');
    const fraction = digits.slice(-PLACES).replace(/0+$/, '');
    return `${this.#units < 0n ? '-' : ''}${digits.slice(0, -PLACES)}${fraction === '' ? '' : `.${fraction}`}`;
  }

  /** The nearest number, for drawing. */
  toNumber(): number {
    return Number(this.toString());
  }
}
