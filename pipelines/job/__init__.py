"""The main job, hop by hop: the user's data -> candidates -> rankings -> metrics.json -> MLflow. Open `run` first."""
