// The token: asked for when the server says so, kept for as long as this tab is open.

let asking = null;

/** Opens the dialog; ready when a token was entered. */
function askForToken(wasRefused) {
  const dialog = byId("token");
  byId("token-error").textContent = wasRefused ? "The server does not accept this token." : "";
  asking ??= new Promise((entered) => {
    const form = byId("token-form");
    const take = (event) => {
      event.preventDefault();
      keepToken(form.elements.token.value.trim());
      form.elements.token.value = "";
      form.removeEventListener("submit", take);
      asking = null;
      dialog.close();
      byId("forget").hidden = false;
      entered();
    };
    form.addEventListener("submit", take);
    dialog.showModal();
    form.elements.token.focus();
  });
  return asking;
}

function startToken() {
  byId("forget").hidden = token === null;
  // There is nothing to see without one.
  byId("token").addEventListener("cancel", (event) => event.preventDefault());
  byId("token").addEventListener("close", () => asking && byId("token").showModal());
  byId("forget").addEventListener("click", () => {
    keepToken(null);
    location.reload();
  });
}
