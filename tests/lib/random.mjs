// Chance that can be repeated: the same seed gives the same draws.
export class Random {
  constructor(seed) {
    this.state = seed >>> 0
  }

  // In [0, 1). The mixing steps of MurmurHash3 over a counter.
  draw() {
    let x = (this.state = (this.state + 0x9e3779b9) >>> 0)
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
    return ((x ^ (x >>> 16)) >>> 0) / 2 ** 32
  }

  // A whole number from `low` to `high`, both included.
  int(low, high) {
    return low + Math.floor(this.draw() * (high - low + 1))
  }

  chance(probability) {
    return this.draw() < probability
  }

  pick(list) {
    return list[this.int(0, list.length - 1)]
  }

  // One key of { key: weight }.
  weighed(weights) {
    const entries = Object.entries(weights)
    let left = this.draw() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [key, weight] of entries) if ((left -= weight) < 0) return key
    return entries.at(-1)[0]
  }
}
