mod budget;
mod rows;
mod running;
mod states;
mod tables;
