// What the load generators share: a clock, quantiles, and the two Yjs encodings that they write by hand.

export const micros = () => Number(process.hrtime.bigint() / 1000n)

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

export const varint = n => {
  const out = []
  while (n > 127) { out.push(128 | (127 & n)); n = Math.floor(n / 128) }
  out.push(n)
  return Buffer.from(out)
}

export const varbuf = bytes => Buffer.concat([varint(bytes.length), Buffer.from(bytes)])

/** Milliseconds out of microseconds. */
export const quantiles = latencies => {
  const sorted = latencies.toSorted((a, b) => a - b)
  const at = q => sorted.length ? +(sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] / 1000).toFixed(2) : null
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}
