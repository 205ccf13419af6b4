'use strict'

// Cuts a stream of text into lines. A line that comes in many pieces is put together once, and only new pieces are searched: answers can
// be of many megabytes.
class Lines {
  #parts = []
  length = 0 // of the line that has not ended

  // The lines that end in this piece.
  add(text) {
    const lines = text.split('\n')
    const rest = lines.pop()
    if (lines.length > 0) {
      lines[0] = this.#parts.join('') + lines[0]
      this.#parts = []
      this.length = 0
    }
    if (rest !== '') this.#parts.push(rest)
    this.length += rest.length
    return lines
  }
}

module.exports = { Lines }
