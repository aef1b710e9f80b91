/** What a terminal may obey, and what hides or reorders the characters beside it. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Untrusted text for people: on one line, and with every control character spelled out, such as `\u{1b}`. */
export function visible(text: string): string {
  return text.replace(UNSAFE, (character) => `\\u{${(character.codePointAt(0) as number).toString(16)}}`);
}

/** The same for a text that is JSON: escaped as JSON has it, so that it still says the same. */
export function visibleJson(json: string): string {
  return json.replace(UNSAFE, (character) => {
    // JSON has no `\u{…}`: a character beyond the first plane is two escapes.
    let escaped = '';
    for (let i = 0; i < character.length; i++) {
      escaped += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`;
    }
    return escaped;
  });
}

/** A value as one line of JSON. */
export function jsonLine(value: unknown): string {
  return `${visibleJson(JSON.stringify(value))}\n`;
}
