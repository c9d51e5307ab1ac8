/** Event ids: `evt_` and a ULID (github.com/ulid/spec): 48 bits of milliseconds and 80 random bits in base 32. */

const LETTERS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** A new id. With one an event may be published again, and is committed once. */
export function eventId(): string {
  const random = crypto.getRandomValues(new Uint8Array(16));
  let time = '';
  for (let left = Date.now(), place = 0; place < 10; place++, left = Math.floor(left / 32)) {
    time = LETTERS.charAt(left % 32) + time;
  }
  return `evt_${time}${Array.from(random, (byte) => LETTERS.charAt(byte % 32)).join('')}`;
}
