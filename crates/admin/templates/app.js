// Conveniences. Every page works without JavaScript.

// A page shows times in UTC; the tooltip has the time in the browser's time zone.
for (const time of document.querySelectorAll("time[datetime]")) {
  const date = new Date(time.dateTime);
  if (!isNaN(date)) time.title = date.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}

// While the user types into a field that refers to another table, offers the rows of that table.
for (const input of document.querySelectorAll("input[data-choices]")) {
  let asked = 0;
  input.addEventListener("input", async () => {
    const turn = ++asked;
    await new Promise((resume) => setTimeout(resume, 200));
    if (turn !== asked) return;
    const answer = await fetch(input.dataset.choices + "?q=" + encodeURIComponent(input.value));
    if (!answer.ok || turn !== asked) return;
    const options = (await answer.json()).map(([value, label]) => new Option(label, value));
    input.list.replaceChildren(...options);
  });
}
