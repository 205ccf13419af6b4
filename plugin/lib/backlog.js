'use strict'

// Events that the program has not confirmed yet, oldest first. They are written once, and again after a reconnect; only the
// program's word that they are committed lets go of them. Bounded in characters, which mostly
// are bytes: what does not fit is not taken.

const BATCH = 256 * 1024 // characters of one write

// Where a text may be cut at or after `at`: not inside of a surrogate pair, whose halves can't be written by themselves.
function cut(text, at) {
  return at < text.length && (text.charCodeAt(at) & 0xfc00) === 0xdc00 ? at + 1 : at
}

class Backlog {
  #items = [] // { id, line, length }; a long line is [head, json, tail], so that it need not be copied together
  #first = 0 // of #items: those before it are confirmed
  #unsent = 0
  #written = 0 // characters of the json of the first unsent line
  #bytes = 0

  constructor(capBytes) {
    this.capBytes = capBytes
  }

  get count() {
    return this.#items.length - this.#first
  }

  get bytes() {
    return this.#bytes
  }

  // Keeps the line head + json + tail, or returns false when that would pass the cap.
  add(id, head, json, tail) {
    const length = head.length + json.length + tail.length
    if (length > this.capBytes - this.#bytes) return false
    this.#items.push({ id, line: json.length > BATCH ? [head, json, tail] : head + json + tail, length })
    this.#bytes += length
    return true
  }

  // What to write next: as many lines as make a good write, or a part of one. undefined when all is written.
  next() {
    const items = this.#items
    let i = this.#unsent
    if (i === items.length) return undefined
    const { line } = items[i]
    if (typeof line !== 'string') return this.#part(line)
    let chunk = line
    while (++i < items.length && typeof items[i].line === 'string' && chunk.length < BATCH) chunk += items[i].line
    this.#unsent = i
    return chunk
  }

  #part([head, json, tail]) {
    const begin = this.#written
    const end = cut(json, begin + BATCH)
    const isLast = end >= json.length
    this.#written = isLast ? 0 : end
    if (isLast) this.#unsent++
    return (begin === 0 ? head : '') + json.slice(begin, end) + (isLast ? tail : '')
  }

  // Nothing else may be written now: part of a line is.
  get midLine() {
    return this.#written !== 0
  }

  // All that is not confirmed will be written again.
  rewind() {
    this.#unsent = this.#first
    this.#written = 0
  }

  // Everything up to the number `id` is committed.
  confirm(id) {
    const items = this.#items
    let first = this.#first
    while (first < items.length && items[first].id <= id) {
      this.#bytes -= items[first].length
      items[first++] = undefined
    }
    this.#first = first
    if (this.#unsent < first) this.#unsent = first
    if (first === items.length) items.length = this.#first = this.#unsent = 0
    else if (first > 1024 && first > items.length / 2) {
      items.splice(0, first)
      this.#unsent -= first
      this.#first = 0
    }
  }

  // Lets go of one event that the program will never take.
  drop(id) {
    const at = this.#items.findIndex((item, i) => i >= this.#first && item.id === id)
    if (at === -1) return
    this.#bytes -= this.#items[at].length
    this.#items.splice(at, 1)
    if (this.#unsent > at) this.#unsent--
  }
}

module.exports = { Backlog }
