'use strict'

// Events that the program has not confirmed yet, oldest first, and new configurations at their places between them: an event meets the hooks
// that were there when it happened. They are written once, and again after a reconnect; only the program's word that they are
// committed lets go of them. Bounded in characters, which mostly are bytes: an event that does not fit is not taken.

const BATCH = 256 * 1024 // characters of one write

// Where a text may be cut at or after `at`: not inside of a surrogate pair, whose halves can't be written by themselves.
function cut(text, at) {
  return at < text.length && (text.charCodeAt(at) & 0xfc00) === 0xdc00 ? at + 1 : at
}

// A long line stays in three parts, so that it need not be copied together.
const lineOf = (head, json, tail) => (json.length > BATCH ? [head, json, tail] : head + json + tail)

const isConfiguration = item => item?.configuration !== undefined
const isGathered = item => typeof item.line === 'string' && !isConfiguration(item)

class Backlog {
  #items = [] // { id, line, length } of an event, { id, line, configuration, isKnown } of a configuration
  #first = 0 // of #items: those before it are confirmed
  #unsent = 0
  #written = 0 // characters of the json of the first unsent line
  #gate // the configuration that is written and not answered: what is behind it waits, or it might meet hooks that are refused
  #count = 0
  #bytes = 0
  configuration // what holds for the first item: every connection starts with it

  constructor(capBytes) {
    this.capBytes = capBytes
  }

  // Events that are not confirmed.
  get count() {
    return this.#count
  }

  get bytes() {
    return this.#bytes
  }

  get isEmpty() {
    return this.#items.length === this.#first
  }

  // Keeps the line head + json + tail, or returns false when that would pass the cap.
  add(id, head, json, tail) {
    const length = head.length + json.length + tail.length
    if (length > this.capBytes - this.#bytes) return false
    this.#items.push({ id, line: lineOf(head, json, tail), length })
    this.#bytes += length
    this.#count++
    return true
  }

  // Puts a configuration behind what is here. It becomes the one that holds when it is answered and what is before it is confirmed.
  addConfiguration(id, configuration) {
    this.#insert(this.#items.length, id, configuration)
  }

  #insert(at, id, configuration) {
    const line = lineOf(`{"id":${id},"configure":`, JSON.stringify(configuration), '}\n')
    this.#items.splice(at, 0, { id, line, configuration, isKnown: false })
  }

  // What to write next: as many lines as make a good write, or a part of one. undefined when all is written.
  next() {
    const items = this.#items
    let i = this.#unsent
    if (i === items.length || this.#gate !== undefined) return undefined
    const item = items[i]
    if (typeof item.line !== 'string') return this.#part(item)
    let chunk = item.line
    if (isConfiguration(item)) {
      this.#gate = item
      i++
    } else while (++i < items.length && isGathered(items[i]) && chunk.length < BATCH) chunk += items[i].line
    this.#unsent = i
    return chunk
  }

  #part(item) {
    const [head, json, tail] = item.line
    const begin = this.#written
    const end = cut(json, begin + BATCH)
    const isLast = end >= json.length
    this.#written = isLast ? 0 : end
    if (isLast) {
      this.#unsent++
      if (isConfiguration(item)) this.#gate = item
    }
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
    this.#gate = undefined
  }

  // Everything up to the number `id` is committed.
  confirm(id) {
    const items = this.#items
    let first = this.#first
    for (; first < items.length; first++) {
      const item = items[first]
      if (isConfiguration(item) ? !item.isKnown : item.id > id) break
      this.#discount(item)
      if (isConfiguration(item)) this.configuration = item.configuration
      items[first] = undefined
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

  #discount(item) {
    if (isConfiguration(item)) return
    this.#bytes -= item.length
    this.#count--
  }

  // Is the answer to `id` the one that holds back the rest?
  waitsFor(id) {
    return this.#gate !== undefined && this.#gate.id === id
  }

  // The program has taken or refused the configuration that holds back the rest.
  settle(isTaken) {
    const gate = this.#gate
    this.#gate = undefined
    gate.isKnown = isTaken
    if (isTaken) this.confirm(0)
    else this.drop(gate.id)
  }

  // The configuration shall not take effect after all. One that the program may read, or has read, is followed at once by the one
  // before it, as number `nextId`.
  revoke(id, nextId) {
    const isPartlyWritten = this.midLine && this.#items[this.#unsent].id === id
    const isWritten = this.waitsFor(id)
    if (isWritten) this.#gate = undefined
    if (!isPartlyWritten) this.drop(id)
    if (!isPartlyWritten && !isWritten) return
    const before = this.#items.slice(0, this.#unsent).findLast(isConfiguration)
    this.#insert(this.#unsent + (isPartlyWritten ? 1 : 0), nextId, before?.configuration ?? this.configuration)
  }

  // Lets go of one that the program will never take. Says whether it was here.
  drop(id) {
    const at = this.#items.findIndex((item, i) => i >= this.#first && item.id === id)
    if (at === -1) return false
    this.#discount(this.#items.splice(at, 1)[0])
    if (this.#unsent > at) this.#unsent--
    return true
  }
}

module.exports = { Backlog }
