// What is nicer with JavaScript; nothing needs it.

// A time is shown in UTC; its title says it in the viewer's own zone.
for (const time of document.querySelectorAll("time[datetime]")) {
  const date = new Date(time.dateTime);
  if (!isNaN(date)) time.title = date.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
}
