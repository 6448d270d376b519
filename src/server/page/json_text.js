// JSON as the text that it is: a payload is shown to the digit as it was stored, which parsing and printing it again would not do.

/** The end of the JSON value that starts at `from`. */
function endOfValue(text, from) {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    const c = text[at];
    if (c === '"') {
      at += 1;
      while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
      if (depth === 0) return at + 1;
    } else if (c === "{" || c === "[") {
      depth += 1;
    } else if (c === "}" || c === "]") {
      if (depth === 0) return at;
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (depth === 0 && (c === "," || /\s/.test(c))) {
      return at;
    }
  }
  return text.length;
}

/** The text of a member of the object that `text` is, or null. */
function memberText(text, name) {
  const skip = (at) => at + text.slice(at).search(/[^\s,:]|$/);
  let at = skip(text.indexOf("{") + 1);
  while (text[at] === '"') {
    const afterName = endOfValue(text, at);
    const start = skip(afterName);
    const end = endOfValue(text, start);
    if (JSON.parse(text.slice(at, afterName)) === name) return text.slice(start, end);
    at = skip(end);
  }
  return null;
}

/** The same JSON with a line for each member. */
function indented(text) {
  const pieces = text.match(/"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+/g) ?? [];
  let [depth, shown] = [0, ""];
  const line = () => `\n${"  ".repeat(depth)}`;
  pieces.forEach((piece, at) => {
    const [last, next] = [pieces[at - 1], pieces[at + 1]];
    if (piece === "{" || piece === "[") {
      depth += 1;
      shown += next === "}" || next === "]" ? piece : piece + line();
    } else if (piece === "}" || piece === "]") {
      depth -= 1;
      shown += last === "{" || last === "[" ? piece : line() + piece;
    } else {
      shown += piece === "," ? piece + line() : piece === ":" ? ": " : piece;
    }
  });
  return shown;
}
