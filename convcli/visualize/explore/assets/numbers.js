// Exact numbers: {n, d}, a BigInt over a positive BigInt, in lowest terms.

const gcd = (a, b) => {
  a = a < 0n ? -a : a;
  b = b < 0n ? -b : b;
  while (b) [a, b] = [b, a % b];
  return a;
};
const lcm = (a, b) => (a / gcd(a, b)) * b;

const Exact = {
  of(n, d = 1n) {
    n = BigInt(n);
    d = BigInt(d);
    const sign = d < 0n ? -1n : 1n;
    const shared = gcd(n, d) || 1n;
    return { n: (sign * n) / shared, d: (sign * d) / shared };
  },

  /** The number of a text such as `3`, `-0.5`, `1e-3` or `1/9`; null for anything else. */
  parse(text) {
    const parts = String(text).trim().replace(/−/g, "-").split("/");
    if (parts.length > 2) return null;
    const [top, bottom] = [parts[0], parts[1] ?? "1"].map(Exact._decimal);
    return top && bottom && bottom.n !== 0n ? Exact.of(top.n * bottom.d, top.d * bottom.n) : null;
  },

  /** Why `parse` returns null for a text. */
  problem(text) {
    const words = text.trim();
    if (!words) return "Enter a number.";
    if (/^[^/]*\/\s*[+−-]?0*\.?0*$/.test(words)) return `${words} divides by zero.`;
    return `${words} is not a number; use a form such as 3, −0.5, 1e-3 or 1/9.`;
  },

  _decimal(text) {
    const match = /^\s*([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d{1,3}))?\s*$/i.exec(text);
    if (!match || !(match[2] || match[3]) || text.length > 40) return null;
    const shift = Number(match[4] ?? 0) - match[3].length;
    const digits = BigInt(match[1] + (match[2] + match[3]));
    return shift < 0 ? Exact.of(digits, 10n ** BigInt(-shift)) : Exact.of(digits * 10n ** BigInt(shift));
  },

  add: (a, b) => Exact.of(a.n * b.d + b.n * a.d, a.d * b.d),
  subtract: (a, b) => Exact.of(a.n * b.d - b.n * a.d, a.d * b.d),
  times: (a, b) => Exact.of(a.n * b.n, a.d * b.d),
  over: (a, b) => Exact.of(a.n * b.d, a.d * b.n),
  isZero: (a) => a.n === 0n,
  size: (a) => (a.n < 0n ? Exact.of(-a.n, a.d) : a),
  less: (a, b) => a.n * b.d < b.n * a.d,
  number: (a) => Number(a.n) / Number(a.d),

  /** A number as text: `3`, `1/9`, or a decimal if it is exact and no longer than the fraction. */
  text(a) {
    if (a.d === 1n) return `${a.n}`;
    const fraction = `${a.n}/${a.d}`;
    for (let places = 1, power = 10n; places <= 15; places++, power *= 10n) {
      if (power % a.d !== 0n) continue;
      const digits = String((a.n < 0n ? -a.n : a.n) * (power / a.d)).padStart(places + 1, "0");
      const decimal = `${a.n < 0n ? "-" : ""}${digits.slice(0, -places)}.${digits.slice(-places)}`;
      const longest = fraction.length - (Exact.less(Exact.size(a), ONE) ? 1 : 0);
      return decimal.length <= longest ? decimal : fraction;
    }
    return fraction;
  },
};
const ZERO = Exact.of(0);
const ONE = Exact.of(1);

const LARGEST = 2 ** 53; // integers below it are exact in a double

/** Round to nearest, ties to even; `x` is below 2^51. */
const rint = (x) => x + 6755399441055744 - 6755399441055744;

/** `top / bottom` rounded to nearest, ties to even, for integers below 2^53 and bottom > 0. */
function quotient(top, bottom) {
  let whole = Math.floor(top / bottom);
  let rest = top - whole * bottom;
  if (rest < 0) {
    whole -= 1;
    rest += bottom;
  } else if (rest >= bottom) {
    whole += 1;
    rest -= bottom;
  }
  const twice = 2 * rest;
  return twice > bottom || (twice === bottom && whole % 2 !== 0) ? whole + 1 : whole;
}

/** A number as text: integers in full, others to `digits` digits. */
function shown(value, digits = 6) {
  if (!Number.isFinite(value)) return String(value);
  const text = Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

/** A number to `digits` digits, with an exponent if it is large or small. */
function shortened(value, digits) {
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e7)) {
    const power = Number(value.toPrecision(digits)).toExponential();
    return power.replace("e+", "e").replaceAll("-", "−");
  }
  return shown(value, Math.max(digits, String(Math.trunc(size)).length + 1));
}

/** A fraction as text, with its approximate decimal unless a short decimal is exact. */
function shownExact(value) {
  const number = Exact.number(value);
  if (value.d === 1n) return shown(number);
  if (10n ** 6n % value.d === 0n) return shown(number, 12);
  return value.d < 2000n ? `${Exact.text(value).replace("-", "−")} ≈ ${shown(number)}` : shown(number, 9);
}
