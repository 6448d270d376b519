// Starts the page.

startTheme();
startToken();
startFigures();
startRecords();
startDetail();
