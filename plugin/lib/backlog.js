'use strict'

// Events that the program has not confirmed yet, oldest first. They are written once, and again after a reconnect; only the
// program's word that they are committed lets go of them. Bounded in bytes: what does not fit is not taken.

const BIG = 32 * 1024 // a line this long is kept as bytes outside the JavaScript heap and written by itself
const BATCH = 256 * 1024

class Backlog {
  #items = [] // { id, line: string or Buffer, bytes }
  #first = 0 // of #items: those before it are confirmed
  #unsent = 0
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

  // Keeps the line, or returns false when that would pass the cap.
  add(id, line) {
    let bytes = line.length
    if (bytes > this.capBytes - this.#bytes) return false
    if (bytes > BIG) {
      line = Buffer.from(line)
      bytes = line.length
    }
    this.#items.push({ id, line, bytes })
    this.#bytes += bytes
    return true
  }

  // What to write next: as many lines as make a good write, or one big one. undefined when all is written.
  next() {
    const items = this.#items
    let i = this.#unsent
    if (i === items.length) return undefined
    let chunk = items[i++].line
    if (typeof chunk === 'string')
      while (i < items.length && chunk.length < BATCH && typeof items[i].line === 'string') chunk += items[i++].line
    this.#unsent = i
    return chunk
  }

  // All that is not confirmed will be written again.
  rewind() {
    this.#unsent = this.#first
  }

  // Everything up to the number `id` is committed.
  confirm(id) {
    const items = this.#items
    let first = this.#first
    while (first < items.length && items[first].id <= id) {
      this.#bytes -= items[first].bytes
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
    this.#bytes -= this.#items[at].bytes
    this.#items.splice(at, 1)
    if (this.#unsent > at) this.#unsent--
  }
}

module.exports = { Backlog }
